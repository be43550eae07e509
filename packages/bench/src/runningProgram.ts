/**
 * A program under measurement, as the benchmark controls it: start it on a job, request blocks of runs, end
 * it.
 */
import type { Answer, BlockRequest, Started } from './messages.js';

/** A started program. */
export interface RunningProgram {
  readonly started: Started;
  /** Returns the time of each timed run, in ms. */
  block(request: BlockRequest): Promise<readonly number[]>;
  end(): Promise<void>;
}

/** Thrown if a peer cannot do its job; the table shows the message. */
export class PeerFailure extends Error {
  override readonly name = 'PeerFailure';
}

/** Returns the value of an answer. @throws PeerFailure for an error. */
export function unwrap<T>(answer: Answer<T>): T {
  if ('value' in answer) return answer.value;
  throw new PeerFailure(answer.unsupported ? `not supported: ${answer.error}` : answer.error);
}

/** Longest time for the start of a program or one block, in ms. */
export const TIMEOUT_MS = 180_000;
