/**
 * Collects the nodes and values of an ONNX graph under names that a viewer shows well: a node is called
 * after the module that emitted it, a parameter as in the state dict.
 */
import type { MessageInitShape } from '@bufbuild/protobuf';
import { littleEndianBytes, type Shape } from '@cnn/core';
import type { Initializer } from './file.js';
import {
  AttributeProto_AttributeType,
  type AttributeProtoSchema,
  type NodeProtoSchema,
  TensorProto_DataType,
} from './onnx_pb.js';

/** The value of a node's attribute. */
export type Attribute = Omit<
  Exclude<MessageInitShape<typeof AttributeProtoSchema>, { $typeName: string }>,
  'name'
>;

/** A whole number as an attribute. */
export const int = (value: number): Attribute => ({
  type: AttributeProto_AttributeType.INT,
  i: BigInt(value),
});

/** Whole numbers as an attribute. */
export const ints = (values: readonly number[]): Attribute => ({
  type: AttributeProto_AttributeType.INTS,
  ints: values.map(BigInt),
});

/** A float32 as an attribute. */
export const float = (value: number): Attribute => ({ type: AttributeProto_AttributeType.FLOAT, f: value });

/** Whole numbers as 64-bit ones, low byte first. */
function int64Bytes(values: readonly number[]): Uint8Array {
  const view = new DataView(new ArrayBuffer(8 * values.length));
  for (const [i, value] of values.entries()) view.setBigInt64(8 * i, BigInt(value), true);
  return new Uint8Array(view.buffer);
}

/** A node as it is collected. */
export type OnnxNode = Exclude<MessageInitShape<typeof NodeProtoSchema>, { $typeName: string }> & {
  readonly input: string[];
  readonly output: string[];
};

/** An ONNX graph under construction. Values are known by their names. */
export class GraphBuilder {
  readonly nodes: OnnxNode[] = [];
  readonly initializers: Initializer[] = [];
  readonly #taken = new Set<string>();
  readonly #constants = new Map<string, string>();

  /** Takes a name, or the first of `name_1`, `name_2`, ... that nothing has yet. */
  claim(name: string): string {
    let free = name;
    for (let count = 1; this.#taken.has(free); count++) free = `${name}_${count}`;
    this.#taken.add(free);
    return free;
  }

  /**
   * Appends a node; gives the name of its one value, which is the node's name too.
   * It is called `path` where that is free and `owned`, and else `path/opType`.
   */
  node(
    opType: string,
    input: readonly string[],
    attributes: Readonly<Record<string, Attribute>>,
    path: string,
    owned: boolean,
  ): string {
    const plain = owned && path !== '' && !this.#taken.has(path);
    const name = this.claim(plain ? path : [path, opType].filter(Boolean).join('/'));
    this.nodes.push({
      name,
      opType,
      input: [...input],
      output: [name],
      attribute: Object.entries(attributes).map(([key, value]) => ({ ...value, name: key })),
    });
    return name;
  }

  /** Adds a weight that fits its shape; its bytes are taken as they are, without a copy. */
  weight(name: string, dims: Shape, data: Float32Array): string {
    const claimed = this.claim(name);
    this.initializers.push({
      name: claimed,
      dims,
      type: TensorProto_DataType.FLOAT,
      bytes: littleEndianBytes(data),
    });
    return claimed;
  }

  /** Whole numbers that a node takes as an input: a shape, an axis. The same ones are kept once. */
  integers(kind: string, values: readonly number[], dims: Shape = [values.length]): string {
    return this.#constant(
      `${kind}/${values.join(',')}`,
      dims,
      TensorProto_DataType.INT64,
      int64Bytes(values),
    );
  }

  /** Numbers that a node takes as an input and that are no weights; `name` says which, and they are kept once. */
  floats(name: string, values: readonly number[], dims: Shape): string {
    return this.#constant(
      name,
      dims,
      TensorProto_DataType.FLOAT,
      littleEndianBytes(Float32Array.from(values)),
    );
  }

  #constant(key: string, dims: Shape, type: TensorProto_DataType, bytes: Uint8Array): string {
    const known = this.#constants.get(key);
    if (known !== undefined) return known;
    const name = this.claim(key);
    this.#constants.set(key, name);
    this.initializers.push({ name, dims, type, bytes });
    return name;
  }
}
