/**
 * The context in which one node is lowered: everything that a lowering may use. Phases, predictions and
 * workspace belong to the context's node.
 */
import { type Graph, isInput, type Node } from '../../../graph/graph.js';
import type { Tensor, Weights } from '../../../tensor/tensor.js';
import type { Engine } from '../codegen/engine.js';
import type { Kernel, KernelParameters } from '../codegen/kernel.js';
import { type ConstantFill, ConstantPool } from '../memory/constantPool.js';
import type { Dense, Pixels, Value } from '../memory/layout.js';
import { Arena, type Pointer } from '../memory/region.js';
import { type Call, type CallMaker, KernelCache } from './kernelCache.js';
import { shareOf } from './ranges.js';
import { Recorder } from './recorder.js';
import type { Schedule } from './schedule.js';
import { ValueTable } from './valueTable.js';

/** A plan under construction, shared by the contexts of all nodes. */
export class PlanParts {
  readonly kernels: KernelCache;
  readonly constants = new ConstantPool();
  readonly values: ValueTable;
  /** Region of all other values and of workspace; an address is reused when its value is dead. */
  readonly arena = new Arena();
  readonly recorder: Recorder;
  /** Host-side checks that run before each inference; kernels cannot report errors. */
  readonly hostChecks: ((feeds: ReadonlyMap<string, Tensor>) => void)[] = [];

  /**
   * @param weights - values of the parameters, read while a program is loaded.
   * @param engine - instructions and tile sizes for which kernels are generated.
   * @param threads - number of threads that share each phase.
   */
  constructor(
    readonly schedule: Schedule,
    weights: Weights,
    readonly engine: Engine,
    readonly threads: number,
  ) {
    this.kernels = new KernelCache(engine);
    this.recorder = new Recorder(threads);
    this.values = new ValueTable(schedule, weights, this.constants);
  }
}

/** The context of a node. */
export class LoweringContext {
  readonly engine: Engine;
  readonly threads: number;
  readonly graph: Graph;
  /** True if the graph computes gradients, as a training step does. */
  readonly hasGradients: boolean;
  readonly #plan: PlanParts;
  readonly #node: Node;
  readonly #algorithm: string | undefined;
  /** Workspace that `release` gives back. */
  readonly #workspace: Pointer[];

  private constructor(plan: PlanParts, node: Node, algorithm: string | undefined, workspace: Pointer[]) {
    this.engine = plan.engine;
    this.threads = plan.threads;
    this.graph = plan.schedule.graph;
    this.hasGradients = plan.schedule.hasGradients;
    this.#plan = plan;
    this.#node = node;
    this.#algorithm = algorithm;
    this.#workspace = workspace;
  }

  /** Lowers a node: calls `lower` with its context, and takes the workspace back afterwards. */
  static lower(plan: PlanParts, node: Node, lower: (context: LoweringContext) => void): void {
    const workspace: Pointer[] = [];
    lower(new LoweringContext(plan, node, undefined, workspace));
    for (const pointer of workspace) plan.arena.release(pointer);
  }

  /** Returns this context with one algorithm label for all phases, instead of their own. */
  withAlgorithm(label: string): LoweringContext {
    return new LoweringContext(this.#plan, this.#node, label, this.#workspace);
  }

  /** Returns a node's value in memory: of the context's node, of its inputs, or of a parameter. */
  value(node: Node): Value {
    return this.#plan.values.value(node);
  }

  /** Returns a node's value in NHWC order; see {@link ValueTable.pixels}. */
  pixels(node: Node, convert: (from: Dense, to: Pixels) => void): Pixels {
    return this.#plan.values.pixels(node, convert);
  }

  /** Returns the value of a parameter that no run changes; undefined for all other nodes. */
  constantValue(node: Node): Tensor | undefined {
    return this.#plan.values.constantValue(node);
  }

  /** Reserves memory for a constant; see {@link ConstantPool.add}. */
  addConstant(floats: number, fill: ConstantFill['fill'], pieces?: number): Pointer {
    return this.#plan.constants.add(floats, fill, pieces);
  }

  /** Reserves memory for a constant once per name; see {@link ConstantPool.intern}. */
  internConstant(name: string, floats: number, fill: ConstantFill['fill']): Pointer {
    return this.#plan.constants.intern(name, floats, fill);
  }

  /** Adds a host-side check of a node's values before each run. Only inputs and constants are checked. */
  addHostCheck(node: Node, test: (data: Float32Array) => void): void {
    const constant = this.constantValue(node);
    if (constant) this.#plan.hostChecks.push(() => test(constant.data));
    if (isInput(node)) this.#plan.hostChecks.push((feeds) => test(feeds.get(node.attrs.name)!.data));
  }

  /** Lends memory until the node is lowered. */
  workspace(bytes: number): Pointer {
    const at = this.#plan.arena.acquire(bytes);
    this.#workspace.push(at);
    return at;
  }

  /** Lends memory of this size to each thread. */
  workspacePerThread(bytes: number): readonly Pointer[] {
    return Array.from({ length: this.threads }, () => this.workspace(bytes));
  }

  /** Generates a kernel for a shape, once, and returns a function that makes calls of it. */
  kernel<S, P extends KernelParameters>(kernel: Kernel<S, P>, shape: NoInfer<S>): CallMaker<P> {
    return this.#plan.kernels.kernel(kernel, shape);
  }

  /** Adds seconds to the cost model's prediction for the node. */
  addExpectedSeconds(seconds: number): void {
    this.#plan.recorder.expect(this.#node, seconds);
  }

  /**
   * Adds a phase.
   * @param algorithm - label in profiles.
   * @param calls - returns a thread's part.
   */
  addPhase(algorithm: string, calls: (thread: number) => readonly Call[]): void {
    this.#plan.recorder.add(this.#node, this.#algorithm ?? algorithm, calls);
  }

  /**
   * Adds a phase of independent units of work.
   * @param algorithm - label in profiles.
   * @param calls - gets a thread's range of the units, never an empty one.
   */
  parallelFor(
    algorithm: string,
    units: number,
    calls: (from: number, to: number, thread: number) => readonly Call[],
  ): void {
    this.addPhase(algorithm, (thread) => {
      const [from, to] = shareOf(units, thread, this.threads);
      return to > from ? calls(from, to, thread) : [];
    });
  }
}
