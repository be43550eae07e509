/** Holds the tensors of a run: in host memory, and newer values of the trained ones in the compiled program. */
import type { Weights } from '@cnn/core';
import type { Graph, Program, Selected } from '@cnn/core/graph';
import { compileStep, type PlaceOptions } from './program.js';

/** Tensors of a run, and the program that changes them. */
export class ProgramState {
  readonly #graph: Graph;
  readonly #place: PlaceOptions;
  #host: Weights;
  #selected: Selected | undefined;
  #disposed = false;

  /** @param host - the complete state before the first step. */
  constructor(graph: Graph, place: PlaceOptions, host: Weights) {
    this.#graph = graph;
    this.#place = place;
    this.#host = host;
  }

  /** State that the program was, or will be, compiled with; what is not trained is current. */
  get host(): Weights {
    return this.#host;
  }

  /** Compiled program; undefined before the first step. */
  get selected(): Selected | undefined {
    return this.#selected;
  }

  /** Throws an Error after `dispose`. */
  requireAlive(): void {
    if (this.#disposed) throw new Error('This trainer has been disposed of; make another one.');
  }

  /** Gives the current state. */
  async current(): Promise<Weights> {
    this.requireAlive();
    if (!this.#selected) return this.#host;
    return new Map([...this.#host, ...(await this.#selected.program.parameters())]);
  }

  /** Gives the program, which the first call compiles. */
  async program(signal?: AbortSignal): Promise<Program> {
    this.requireAlive();
    this.#selected ??= await compileStep(this.#graph, this.#host, this.#place, signal);
    return this.#selected.program;
  }

  /** Frees the program, and begins again with another state. */
  async replace(state: Weights): Promise<void> {
    await this.#release();
    this.#host = state;
  }

  /** Frees the program, and refuses every later call. */
  async dispose(): Promise<void> {
    this.#disposed = true;
    await this.#release();
  }

  async #release(): Promise<void> {
    await this.#selected?.program.dispose();
    this.#selected = undefined;
  }
}
