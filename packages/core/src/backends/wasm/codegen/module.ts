/** Puts functions together into the bytes of a module that imports its memory and exports by name. */
import { Bytes } from './bytes.js';
import type { FunctionBuilder } from './function.js';

/** What a module is made of. */
export interface ModuleParts {
  /** In the order of their table entries. */
  readonly functions: readonly FunctionBuilder[];
  /** Indices of exported functions by name. */
  readonly exports: Readonly<Record<string, number>>;
  /** The imported memory `env.memory`, in pages of 64 KiB. */
  readonly memory: { readonly pages: number; readonly shared: boolean };
}

/** The binary module. Every function is in the table too, at its own index. */
export function buildModule({ functions, exports, memory }: ModuleParts): Uint8Array<ArrayBuffer> {
  const count = functions.length;
  // One type for each number of parameters; the type's index is that number.
  const most = Math.max(0, ...functions.map((f) => f.parameters.length));
  const types = new Bytes().unsigned(most + 1);
  for (let parameters = 0; parameters <= most; parameters++) {
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
