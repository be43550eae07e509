/**
 * Puts the bytes of a model file together. protobuf-es would copy the weights once for every message
 * they are nested in; here they go straight into the file, whose size is known, and checked, before.
 */
import { create, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import { OnnxExportError } from './errors.js';
import {
  GraphProtoSchema,
  ModelProtoSchema,
  type TensorProto_DataType,
  TensorProtoSchema,
} from './onnx_pb.js';

/** Values that the graph starts from, by name. */
export interface Initializer {
  readonly name: string;
  readonly dims: readonly number[];
  readonly type: TensorProto_DataType;
  /** Little-endian, row-major. */
  readonly bytes: Uint8Array;
}

/** The largest message that protobuf's readers take, in bytes. */
const LIMIT = 2 ** 31 - 1;

/** A field of a message that is made of the parts. */
function field(number: number, parts: readonly Uint8Array[]): readonly Uint8Array[] {
  const length = lengthOf(parts);
  // A length beyond protobuf's own limit is not written any more: the whole is refused.
  const head = new BinaryWriter().tag(number, WireType.LengthDelimited).uint32(Math.min(length, LIMIT));
  return [head.finish(), ...parts];
}

const lengthOf = (parts: readonly Uint8Array[]): number =>
  parts.reduce((length, part) => length + part.length, 0);

/**
 * The file of a model whose graph has these initializers besides.
 * @throws OnnxExportError for a file that would be too large for protobuf.
 */
export function encodeModel(
  model: MessageInitShape<typeof ModelProtoSchema>,
  graph: MessageInitShape<typeof GraphProtoSchema>,
  initializers: readonly Initializer[],
): Uint8Array {
  const tensors = initializers.flatMap(({ name, dims, type, bytes }) =>
    field(GraphProtoSchema.field.initializer.number, [
      toBinary(
        TensorProtoSchema,
        create(TensorProtoSchema, { name, dims: dims.map(BigInt), dataType: type }),
      ),
      ...field(TensorProtoSchema.field.rawData.number, [bytes]),
    ]),
  );
  const parts = [
    toBinary(ModelProtoSchema, create(ModelProtoSchema, model)),
    ...field(ModelProtoSchema.field.graph.number, [
      toBinary(GraphProtoSchema, create(GraphProtoSchema, graph)),
      ...tensors,
    ]),
  ];
  const length = lengthOf(parts);
  if (length > LIMIT)
    throw new OnnxExportError(
      `${graph.name}: the ONNX file would have ${length.toLocaleString('en-US')} bytes, but protobuf's readers take ${LIMIT.toLocaleString('en-US')} at most. Export a smaller model.`,
    );
  const file = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    file.set(part, at);
    at += part.length;
  }
  return file;
}
