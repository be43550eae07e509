/**
 * Collects the nodes and values of an ONNX graph. A node has the name of the module that emitted it, a parameter
 * its name in the state dict, so that viewers such as Netron show familiar names.
 */
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { Shape } from '@cnn/core';
import { littleEndianBytes } from '@cnn/core/io';
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

/** An integer attribute. */
export const int = (value: number): Attribute => ({
  type: AttributeProto_AttributeType.INT,
  i: BigInt(value),
});

/** An attribute that is a list of integers. */
export const ints = (values: readonly number[]): Attribute => ({
  type: AttributeProto_AttributeType.INTS,
  ints: values.map(BigInt),
});

/** A float32 attribute. */
export const float = (value: number): Attribute => ({ type: AttributeProto_AttributeType.FLOAT, f: value });

/** Encodes integers as little-endian int64. */
function int64Bytes(values: readonly number[]): Uint8Array {
  const view = new DataView(new ArrayBuffer(8 * values.length));
  for (const [i, value] of values.entries()) view.setBigInt64(8 * i, BigInt(value), true);
  return new Uint8Array(view.buffer);
}

/** A collected node. */
export type OnnxNode = Exclude<MessageInitShape<typeof NodeProtoSchema>, { $typeName: string }> & {
  readonly input: string[];
  readonly output: string[];
};

/** An ONNX graph under construction. ONNX identifies values by their names, so methods take and return names. */
export class GraphBuilder {
  readonly nodes: OnnxNode[] = [];
  readonly initializers: Initializer[] = [];
  readonly #taken = new Set<string>();
  readonly #constants = new Map<string, string>();

  /** Reserves and returns `name`, or the first free one of `name_1`, `name_2`, ... */
  claim(name: string): string {
    let free = name;
    for (let count = 1; this.#taken.has(free); count++) free = `${name}_${count}`;
    this.#taken.add(free);
    return free;
  }

  /**
   * Appends a node with one output. Returns the name of the node, which is also the name of the output: `path` if
   * that is free and `owned`, else `path/opType`.
   * @param owned - true if no other node has this path.
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

  /** Adds a weight, whose length must match `dims`. Does not copy `data`. Returns its name. */
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

  /** Adds int64 numbers that a node takes as an input, such as a shape or an axis; equal ones once. Returns their name. */
  integers(kind: string, values: readonly number[], dims: Shape = [values.length]): string {
    return this.#constant(
      `${kind}/${values.join(',')}`,
      dims,
      TensorProto_DataType.INT64,
      int64Bytes(values),
    );
  }

  /** Adds float32 numbers that a node takes as an input, once for each `name`. Returns their name. */
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
