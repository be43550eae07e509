/** Holds the state of a run: tensors, position and best weights, which always are of the same step. */
import type { Weights } from '@cnn/core';
import { createQueue } from '@cnn/core/graph';
import type { Position } from './position.js';
import type { ProgramState } from './programState.js';

/** State of a run between two steps. */
export interface WholeState {
  readonly position: Position;
  readonly tensors: Weights;
  /** Weights of the epoch that early stopping found best; undefined before the first. */
  readonly best: Weights | undefined;
}

/** State of a run. */
export class RunState {
  readonly tensors: ProgramState;
  #position: Position;
  #best: Weights | undefined;
  #divergedAt: number | undefined;
  /** A program has applied a step before its position is known: whoever needs both waits. */
  readonly #enqueue = createQueue();

  constructor(tensors: ProgramState, position: Position) {
    this.tensors = tensors;
    this.#position = position;
  }

  /** Position after the last whole step. */
  get position(): Position {
    return this.#position;
  }

  get best(): Weights | undefined {
    return this.#best;
  }

  /** Step whose loss was not finite, from 1; undefined while all losses were finite. */
  get divergedAt(): number | undefined {
    return this.#divergedAt;
  }

  /** Marks the state as that of a diverged run, until it is replaced. */
  diverge(step: number): void {
    this.#divergedAt = step;
  }

  /**
   * Changes the tensors and then the position.
   * @param change - changes the tensors, and gives the new position; if it rejects, the old one stays.
   */
  advance(change: () => Promise<Position>): Promise<void> {
    return this.#enqueue(async () => {
      this.#position = await change();
    });
  }

  /** Enters the next epoch, whose tensors are those of the last step. */
  enterEpoch(position: Position, best: Weights | undefined): void {
    [this.#position, this.#best] = [position, best];
  }

  /** Gives the state after the step in progress, if there is one. */
  whole(): Promise<WholeState> {
    return this.#enqueue(async () => {
      const [position, best] = [this.#position, this.#best];
      return { position, best, tensors: await this.tensors.current() };
    });
  }

  /** Replaces the state by another run's. */
  replace({ position, tensors, best }: WholeState): Promise<void> {
    return this.#enqueue(async () => {
      await this.tensors.replace(tensors);
      this.enterEpoch(position, best);
      this.#divergedAt = undefined;
    });
  }
}
