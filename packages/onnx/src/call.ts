/** What the form of an op in ONNX is written with. */
import type { Node } from '@cnn/core';
import type { Attribute } from './builder.js';

/** One op that is to be exported, and what it is exported with. */
export interface Call<A extends object = object> {
  readonly node: Node<A>;
  /** The names of its inputs' values. */
  readonly inputs: readonly string[];
  /** Appends a node under the path of the op's module; gives the name of its value. */
  emit(opType: string, inputs: readonly string[], attributes?: Readonly<Record<string, Attribute>>): string;
  /** A constant of whole numbers, named after its kind and its values. */
  integers(kind: string, values: readonly number[], dims?: readonly number[]): string;
  /** A constant of float32 numbers under a name that tells it from all others. */
  floats(name: string, values: readonly number[], dims: readonly number[]): string;
  /** A shape as a constant, whose first extent is the batch. */
  shape(shape: readonly number[]): string;
}

/** Appends the nodes of an op and gives the name of its value; a string says why the op has none. */
export type Operator<A extends object> = ((call: Call<A>) => string) | string;
