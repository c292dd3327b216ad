// Makes a component of a JavaScript module and the engine QuickJS: componentize.mjs SOURCE WIT OUTPUT
import { readFile, writeFile } from 'node:fs/promises';
import { parse, print } from '@bytecodealliance/jco-transpile/wasm-tools';
import { componentize } from 'componentize-qjs';

const [source, witPath, output] = process.argv.slice(2);
const { component } = await componentize({
  witPath,
  world: 'policy',
  jsSource: await readFile(source, 'utf8'),
  // The asynchronous runtime needs abilities of the component model that the operator does not grant.
  sync: true,
});

// The result is two components: the engine, and one that loads JavaScript modules while the engine is set up. By now
// all are loaded, but the engine still imports the second one's two functions. Code between two components needs
// WebAssembly with many memories, which the operator does not take. So functions that trap take their place.
const LOADER = / \(core func (\$"[^"]*module-loader-(resolve|load)")[^\n]*\(canon lower [^\n]*\)$/gm;
const TRAPS = ` (core module $no-loader
    (func (export "resolve") (param i32 i32 i32 i32 i32) unreachable)
    (func (export "load") (param i32 i32 i32) unreachable))
  (core instance $no-loader (instantiate $no-loader))
`;
const FIXUP = ' (core module $wit-component-fixup ';

let replaced = 0;
const text = (await print(component))
  .replace(LOADER, (_, id, name) => {
    replaced += 1;
    return ` (alias core export $no-loader "${name}" (core func ${id}))`;
  })
  // Before the first use of the two.
  .replace(FIXUP, TRAPS + FIXUP);
if (replaced !== 2) {
  throw new Error(`componentize-qjs has changed: it imports ${replaced} functions of its loader instead of 2`);
}
await writeFile(output, await parse(text));
