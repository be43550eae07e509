/** A measured program as the command sees it: started on a job, asked for blocks, ended. */
import type { Answer, BlockRequest, Started } from './protocol.js';

/** A program that runs. */
export interface Running {
  readonly started: Started;
  /** Times of the runs of a block, in ms. */
  block(request: BlockRequest): Promise<readonly number[]>;
  end(): Promise<void>;
}

/** A peer could not do the job; shown in the table. */
export class PeerFailure extends Error {
  override readonly name = 'PeerFailure';
}

/** What was answered. @throws PeerFailure for an error. */
export function unwrap<T>(answer: Answer<T>): T {
  if ('value' in answer) return answer.value;
  throw new PeerFailure(answer.unsupported ? `not supported: ${answer.error}` : answer.error);
}

/** How long a program may take to start, or for a block, in ms. */
export const PATIENCE = 180_000;
