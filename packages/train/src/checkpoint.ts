/** Checkpoints: the whole state of a run as one safetensors file. */
import { FileFormatError, readSafetensors, type Weights, writeAtomically, writeSafetensors } from '@cnn/core';

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
  /** Examples in each of its steps. */
  readonly batch: number;
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
  for (const key of ['seed', 'lossSum'] as const)
    if (typeof numbers[key] !== 'number') fail(`has no number '${key}'`);
  const counts = { step: 0, epoch: 0, within: 0, size: 0, batch: 0, right: 0 };
  for (const key of Object.keys(counts) as (keyof typeof counts)[]) {
    const count = numbers[key];
    if (count === undefined || !Number.isSafeInteger(count) || count < 0)
      return fail(`has '${key}' ${count}, which must be a whole number from 0 up`);
    counts[key] = count;
  }
  const { within, batch, size } = counts;
  if (within > 0 && (within + 1) * batch > size)
    fail(`is ${within} steps of ${batch} into an epoch of ${size} examples, which ends before`);
  if (!Array.isArray(memory) || !memory.every((item) => typeof item === 'number'))
    fail("has no list of numbers 'memory'");
  if (best !== undefined && (typeof best.value !== 'number' || typeof best.waited !== 'number'))
    fail("has no numbers in 'best'");
  return value as Position;
}

/** Writes the bytes of a checkpoint to a file; a crash leaves the old file or the new one. Node only. */
export async function saveCheckpoint(path: string, bytes: Uint8Array): Promise<void> {
  try {
    await writeAtomically(path, bytes);
  } catch (error) {
    throw new Error(
      `Cannot write the checkpoint ${path}: ${(error as Error).message}. In a browser take the bytes of checkpoint() and store them.`,
      { cause: error },
    );
  }
}

/** Reads a checkpoint from a file. Node only. */
export async function loadCheckpoint(path: string): Promise<Checkpoint> {
  const fs = typeof process === 'undefined' ? undefined : process.getBuiltinModule?.('node:fs/promises');
  if (!fs)
    throw new Error('Checkpoint files can be read in Node 20.16 or newer; in a browser pass the bytes.');
  // A copy, since small files share Node's buffer pool, where values may lie unaligned.
  return readCheckpoint(new Uint8Array(await fs.readFile(path)));
}
