// Makes a component of a JavaScript module and the engine SpiderMonkey: componentize.mjs SOURCE WIT OUTPUT
import { writeFile } from 'node:fs/promises';
import { componentize } from '@bytecodealliance/componentize-js';

const [sourcePath, witPath, output] = process.argv.slice(2);
const { component } = await componentize({
  sourcePath,
  witPath,
  worldName: 'policy',
  // All that the engine would import. Without it the component imports nothing.
  disableFeatures: ['stdio', 'random', 'clocks', 'http', 'fetch-event'],
});
await writeFile(output, component);
