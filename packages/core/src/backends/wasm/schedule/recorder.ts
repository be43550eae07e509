/** Records the kernel calls of every thread, phase by phase, and what profiles say about them. */
import type { Node } from '../../../graph/graph.js';
import type { Call } from './kernelCache.js';

/** The work of all threads between two barriers. */
export interface Phase {
  /** Node that the phase belongs to. */
  readonly node: Node;
  /** Algorithm label, shown in profiles. */
  readonly algorithm: string;
  /** Calls by thread, in order. */
  readonly calls: readonly (readonly Call[])[];
}

/** The phases of a plan in the order in which they run. */
export class Recorder {
  readonly phases: Phase[] = [];
  /** Number of phases that compute; the phases after them apply updates. */
  computePhaseCount = 0;
  /** Seconds that the cost model predicts for all tiles of a node. Nodes without a prediction are missing. */
  readonly expectedSeconds = new Map<Node, number>();
  /** Number of batch tiles of a node. Nodes that compute the whole batch at once are missing. */
  readonly tileCounts = new Map<Node, number>();

  /** @param threads - number of threads that share each phase. */
  constructor(readonly threads: number) {}

  /** Adds a phase. `calls` returns a thread's part. */
  add(node: Node, algorithm: string, calls: (thread: number) => readonly Call[]): void {
    this.phases.push({
      node,
      algorithm,
      calls: Array.from({ length: this.threads }, (_, thread) => calls(thread)),
    });
  }

  /** Adds seconds to the cost model's prediction for a node. */
  expect(node: Node, seconds: number): void {
    this.expectedSeconds.set(node, (this.expectedSeconds.get(node) ?? 0) + seconds);
  }

  /** Repeats all phases, which compute the first batch tile, with the addresses of the other tiles. */
  repeatForTiles(tiles: number): void {
    for (const [node, seconds] of this.expectedSeconds) this.expectedSeconds.set(node, tiles * seconds);
    const firstTile = [...this.phases];
    for (const { node } of firstTile) this.tileCounts.set(node, tiles);
    for (let tile = 1; tile < tiles; tile++) {
      const inTile = ({ kernel, parameters }: Call): Call => ({
        kernel,
        parameters: parameters.map((value) => (typeof value === 'number' ? value : value.inTile(tile))),
      });
      for (const phase of firstTile)
        this.phases.push({ ...phase, calls: phase.calls.map((calls) => calls.map(inTile)) });
    }
  }

  /** Ends the compute phases: all phases added from here on apply updates. */
  beginUpdates(): void {
    this.computePhaseCount = this.phases.length;
  }
}
