// Makes a component of a core module: componentize.mjs MODULE WIT OUTPUT
import { readFile, writeFile } from 'node:fs/promises';
import { componentEmbed, componentNew } from '@bytecodealliance/jco-transpile/wasm-tools';

const [module, wit, output] = process.argv.slice(2);
const typed = await componentEmbed({
  binary: await readFile(module),
  witSource: await readFile(wit, 'utf8'),
  world: 'policy',
});
await writeFile(output, await componentNew(typed, []));
