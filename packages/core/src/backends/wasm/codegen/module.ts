/** Assembles functions into a WebAssembly module that imports its memory and exports functions by name. */
import { Bytes } from './bytes.js';
import type { FunctionBuilder } from './function.js';

/** The parts of a module. */
export interface ModuleParts {
  /** Functions in the order of the module's table. */
  readonly functions: readonly FunctionBuilder[];
  /** Indices in `functions` by the name of the export. */
  readonly exports: Readonly<Record<string, number>>;
  /** The imported memory `env.memory`, in pages of 64 KiB. */
  readonly memory: { readonly pages: number; readonly shared: boolean };
}

/** Returns the binary module. Its table holds all functions, in order, for indirect calls. */
export function buildModule({ functions, exports, memory }: ModuleParts): Uint8Array<ArrayBuffer> {
  const count = functions.length;
  // The type with index n has n parameters of i32 and no result. A call may name one that no function has.
  const maxParameters = Math.max(0, ...functions.flatMap((f) => [f.parameters.length, f.mostArguments]));
  const types = new Bytes().unsigned(maxParameters + 1);
  for (let parameters = 0; parameters <= maxParameters; parameters++) {
    types.bytes(0x60).unsigned(parameters);
    for (let i = 0; i < parameters; i++) types.bytes(0x7f);
    types.unsigned(0);
  }
  const imports = new Bytes()
    .unsigned(1)
    .name('env')
    .name('memory')
    .bytes(0x02, memory.shared ? 3 : 1);
  imports.unsigned(memory.pages).unsigned(memory.pages);
  const declared = new Bytes().unsigned(count);
  for (const f of functions) declared.unsigned(f.parameters.length);
  const table = new Bytes().unsigned(1).bytes(0x70, 0x00).unsigned(count);
  const names = Object.entries(exports);
  const exported = new Bytes().unsigned(names.length);
  for (const [name, index] of names) exported.name(name).bytes(0x00).unsigned(index);
  const elements = new Bytes().unsigned(1).bytes(0x00, 0x41, 0x00, 0x0b).unsigned(count);
  for (let index = 0; index < count; index++) elements.unsigned(index);
  const bodies = new Bytes().unsigned(count);
  for (const f of functions) bodies.counted(f.body());

  const module = new Bytes().bytes(0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0);
  const section = (id: number, content: Bytes) => module.bytes(id).counted(content);
  section(1, types);
  section(2, imports);
  section(3, declared);
  section(4, table);
  section(7, exported);
  section(9, elements);
  section(10, bodies);
  return module.view().slice();
}
