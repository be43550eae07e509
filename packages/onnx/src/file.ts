/**
 * Encodes a model file. protobuf-es would copy the weights once for every message they are nested in; this code
 * computes and checks the file's size first and then copies them once, into the file.
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

/** A weight or constant of the graph. */
export interface Initializer {
  readonly name: string;
  readonly dims: readonly number[];
  readonly type: TensorProto_DataType;
  /** Little-endian, row-major. */
  readonly bytes: Uint8Array;
}

/** The largest message that protobuf's readers accept, in bytes. */
const LIMIT = 2 ** 31 - 1;

/** Encodes a length-delimited field. Returns its tag and length, then `parts`, not copied. */
function field(number: number, parts: readonly Uint8Array[]): readonly Uint8Array[] {
  const length = lengthOf(parts);
  // uint32 cannot hold a larger length; encodeModel then throws.
  const head = new BinaryWriter().tag(number, WireType.LengthDelimited).uint32(Math.min(length, LIMIT));
  return [head.finish(), ...parts];
}

const lengthOf = (parts: readonly Uint8Array[]): number =>
  parts.reduce((length, part) => length + part.length, 0);

/**
 * Encodes a model as the bytes of an `.onnx` file.
 * @param graph - the graph without its initializers.
 * @throws OnnxExportError for a file over protobuf's limit of 2 GB.
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
      `${graph.name}: the ONNX file would have ${length.toLocaleString('en-US')} bytes, but protobuf's readers accept at most ${LIMIT.toLocaleString('en-US')}. Export a smaller model.`,
    );
  const file = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    file.set(part, at);
    at += part.length;
  }
  return file;
}
