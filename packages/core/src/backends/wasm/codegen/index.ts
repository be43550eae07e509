/** The WebAssembly code generator: expressions, functions, modules. */
export { Bytes } from './bytes.js';
export {
  type Expression,
  f32,
  f32x4,
  type I32,
  i32,
  i32x4,
  Local,
  type V128,
  v128,
} from './expression.js';
export {
  type F32x8,
  type F32x8Local,
  type F32x8Operand,
  f32x8,
  lift,
  multiplyAdd,
  VECTOR,
  valuesIn,
} from './f32x8.js';
export { FunctionBuilder } from './function.js';
export { buildModule } from './module.js';
