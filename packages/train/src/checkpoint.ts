/** Checkpoints: the whole state of a run as one safetensors file. */
import { FileFormatError, readSafetensors, type Weights, writeSafetensors } from '@cnn/core';

/** Where a run stands: everything beside tensors that it needs to go on exactly there. */
export interface Position {
  /** From which every random number of the run follows, together with the place. */
  readonly seed: number;
  /** Steps done in all. */
  readonly step: number;
  /** Epochs done. */
  readonly epoch: number;
  /** Steps done in the present epoch. */
  readonly within: number;
  /** Size of the dataset that the present epoch was shuffled from. */
  readonly size: number;
  /** Sum of the losses of the present epoch's steps. */
  readonly lossSum: number;
  /** Right answers of the present epoch. */
  readonly right: number;
  /** What the schedule remembers. */
  readonly memory: readonly number[];
  /** Best value that early stopping has seen, and the epochs since. */
  readonly best: { readonly value: number; readonly waited: number } | undefined;
}

/** A checkpoint that has been read. */
export interface Checkpoint {
  readonly position: Position;
  /** Name of the optimizer. */
  readonly optimizer: string;
  /** Weights under their own names; `optimizer.*`, `average.*` and `best.*` beside them. */
  readonly state: Weights;
}

const FORMAT = 'cnn training checkpoint 1';

/** The bytes of a checkpoint. The same state gives the same bytes. */
export const writeCheckpoint = ({ position, optimizer, state }: Checkpoint): Uint8Array =>
  writeSafetensors(state, { format: FORMAT, optimizer, position: JSON.stringify(position) });

/**
 * Reads the bytes of a checkpoint.
 * @throws FileFormatError when they are not a checkpoint.
 */
export function readCheckpoint(bytes: Uint8Array): Checkpoint {
  const { weights, metadata } = readSafetensors(bytes);
  const { format, optimizer = '', position = '' } = metadata;
  if (format !== FORMAT)
    throw new FileFormatError(
      'checkpoint',
      `its metadata says ${format === undefined ? 'nothing of a format' : `'${format}'`}, expected '${FORMAT}'; plain weights are given to trainer as 'weights'`,
    );
  return { state: weights, optimizer, position: positionOf(position) };
}

function positionOf(text: string): Position {
  const fail = (reason: string): never => {
    throw new FileFormatError('checkpoint', `its position ${reason}`);
  };
  const parse = (): unknown => {
    try {
      return JSON.parse(text);
    } catch {
      return fail('is not JSON');
    }
  };
  const value = parse();
  if (typeof value !== 'object' || value === null) return fail('is not an object');
  const { best, memory, ...numbers } = value as Partial<Position>;
  for (const key of ['seed', 'step', 'epoch', 'within', 'size', 'lossSum', 'right'] as const)
    if (typeof numbers[key] !== 'number') fail(`has no number '${key}'`);
  if (!Array.isArray(memory) || !memory.every((item) => typeof item === 'number'))
    fail("has no list of numbers 'memory'");
  if (best !== undefined && (typeof best.value !== 'number' || typeof best.waited !== 'number'))
    fail("has no numbers in 'best'");
  return value as Position;
}
