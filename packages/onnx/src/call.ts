/** The arguments of an exporter of one op: the type that the table of operators and the functions in it share. */
import type { Node } from '@cnn/core';
import type { Attribute } from './builder.js';

/** One node to export, and the means to export it. */
export interface Call<A extends object = object> {
  readonly node: Node<A>;
  /** The ONNX names of the node's inputs. */
  readonly inputs: readonly string[];
  /** Appends an ONNX node under the path of the op's module. Returns the name of its value. */
  emit(opType: string, inputs: readonly string[], attributes?: Readonly<Record<string, Attribute>>): string;
  /** Adds a constant of 64-bit integers, named after `kind` and the values. Returns its name. */
  integers(kind: string, values: readonly number[], dims?: readonly number[]): string;
  /** Adds a constant of float32 numbers under a unique `name`. Returns its name. */
  floats(name: string, values: readonly number[], dims: readonly number[]): string;
  /** Adds a shape as a constant; its first extent is the batch. Returns its name. */
  shape(shape: readonly number[]): string;
}
