/** Runs a plan on a device. Tensors are freed after their last use; updates replace parameters at the end. */
import { type Graph, inputsOf, type Node, parametersOf } from '../../graph/graph.js';
import { lastReads } from '../../graph/liveness.js';
import type { Tensor, Weights } from '../../tensor/tensor.js';
import { yieldToEventLoop } from '../../yield.js';
import type { ProfileStep, Program } from '../backend.js';
import { stepOf } from '../common/describe.js';
import { valuesFor } from '../common/feeds.js';
import { Lifetime } from '../common/lifetime.js';
import type { Block, CompiledCall, DeviceRuntime, DeviceTensor } from './device/runtime.js';
import type { Layout } from './layout/types.js';
import type { HostValues, Plan, PlannedTensor, WriteStaged } from './plan/plan.js';

/** Tensor of a program. Slots number all tensors that the calls of a plan need. */
interface Slot {
  readonly slot: number;
  readonly layout: Layout;
}

/** Slots of a plan, by the source of their values. */
interface Slots {
  readonly of: ReadonlyMap<PlannedTensor, number>;
  /** Uploaded once, during compilation. */
  readonly constants: readonly (Slot & { readonly write: WriteStaged })[];
  /** Uploaded for each run. */
  readonly fed: readonly (Slot & { readonly of: (host: HostValues) => Float32Array })[];
  readonly outputs: ReadonlyMap<string, Slot>;
  /** Parameters that runs update, each with the slot of its next value. */
  readonly states: ReadonlyMap<string, Slot & { readonly next: number }>;
}

/** Kernel call whose tensors are given by slot. */
interface Step<B extends Block> {
  readonly run: CompiledCall<B>;
  readonly inputs: readonly number[];
  readonly result: number;
  /** Tensors that no later step reads. */
  readonly dead: readonly number[];
  readonly node: Node;
  readonly algorithm: string;
}

/** Options of {@link compilePlan}. */
interface PlanOptions {
  readonly signal?: AbortSignal;
  /** Reason why the program does not run in another mode. */
  readonly fallbackReason?: string;
}

/** Compiles a plan. The program owns the runtime: it is disposed of with it, or if compiling fails. */
export async function compilePlan<B extends Block>(
  graph: Graph,
  weights: Weights,
  plan: Plan,
  runtime: DeviceRuntime<B>,
  { signal, fallbackReason }: PlanOptions,
): Promise<Program> {
  try {
    const slots = assignSlots(plan);
    const { calls, resident } = await prepare(plan, slots, runtime, signal);
    const steps = stepsOf(plan, calls, slots, resident);
    return programOf(new Execution(graph, plan, slots, steps, resident, runtime), weights, fallbackReason);
  } catch (error) {
    runtime.dispose();
    throw error;
  }
}

/** Numbers all tensors that the calls need, and lists those to upload once and those to upload for each run. */
function assignSlots(plan: Plan): Slots {
  const of = new Map<PlannedTensor, number>();
  const constants: Slots['constants'][number][] = [];
  const fed: Slots['fed'][number][] = [];
  const slotOf = (tensor: PlannedTensor): number => {
    const known = of.get(tensor);
    if (known !== undefined) return known;
    const slot = of.size;
    of.set(tensor, slot);
    const { layout, origin } = tensor;
    if (origin.kind === 'fed') fed.push({ slot, layout, of: origin.of });
    else if (origin.kind === 'prepacked') constants.push({ slot, layout, write: origin.write });
    else if (origin.kind !== 'call')
      constants.push({ slot, layout, write: (staged) => layout.toDevice(origin.values.data, staged) });
    return slot;
  };
  const named = (tensor: PlannedTensor): Slot => ({ slot: slotOf(tensor), layout: tensor.layout });
  for (const { inputs } of plan.calls) inputs.forEach(slotOf);
  const outputs = new Map([...plan.outputs].map(([name, tensor]) => [name, named(tensor)]));
  const states = new Map(
    [...plan.updates].map(([name, { state, next }]) => [name, { ...named(state), next: slotOf(next) }]),
  );
  return { of, constants, fed, outputs, states };
}

/** Compiles the kernels of a plan and uploads its constants. Gives the tensors that stay on the device by slot. */
async function prepare<B extends Block>(
  { calls }: Plan,
  { constants }: Slots,
  runtime: DeviceRuntime<B>,
  signal: AbortSignal | undefined,
) {
  const resident = new Map<number, DeviceTensor<B>>();
  // The host computes and packs weights while the device compiles.
  let failed = false;
  const preparing = runtime.prepare(
    calls.map(({ kernel, layout, inputs }) => ({
      kernel,
      layout,
      inputs: inputs.map((input) => input.layout),
    })),
    signal,
  );
  preparing.catch(() => {
    failed = true;
  });
  try {
    for (const { slot, layout, write } of constants) {
      await yieldToEventLoop();
      signal?.throwIfAborted();
      if (failed) break;
      resident.set(slot, runtime.upload(layout, write));
    }
  } finally {
    // No work may go on after an error is thrown.
    await preparing.catch(() => undefined);
  }
  const compiled = await preparing;
  await runtime.check();
  signal?.throwIfAborted();
  return { calls: compiled, resident };
}

/** Gives the calls whose results are used, each with the tensors to free after it. */
function stepsOf<B extends Block>(
  plan: Plan,
  prepared: readonly CompiledCall<B>[],
  { of, outputs, states }: Slots,
  resident: ReadonlyMap<number, object>,
): readonly Step<B>[] {
  const results = new Map<object, number>();
  for (const [{ origin }, slot] of of) if (origin.kind === 'call') results.set(origin.call, slot);
  const needed = plan.calls.flatMap((call, index) => {
    const result = results.get(call);
    return result === undefined ? [] : [{ call, run: prepared[index]!, result }];
  });
  const inputsOfSteps = needed.map(({ call }) => call.inputs.map((input) => of.get(input)!));
  const last = lastReads(inputsOfSteps);
  const kept = new Set(resident.keys());
  for (const { slot } of outputs.values()) kept.add(slot);
  for (const { next } of states.values()) kept.add(next);
  return needed.map(({ call: { node, algorithm }, run, result }, index) => {
    const inputs = inputsOfSteps[index]!;
    const dead = [...new Set(inputs)].filter((slot) => last.get(slot) === index && !kept.has(slot));
    return { run, inputs, result, dead, node, algorithm };
  });
}

/** Steps of a plan on a device, with the tensors that stay there between runs. */
class Execution<B extends Block> {
  readonly lifetime = new Lifetime();
  readonly #inputs: ReadonlyMap<string, Node>;

  constructor(
    readonly graph: Graph,
    readonly plan: Plan,
    readonly slots: Slots,
    readonly steps: readonly Step<B>[],
    readonly resident: Map<number, DeviceTensor<B>>,
    readonly runtime: DeviceRuntime<B>,
  ) {
    this.#inputs = inputsOf(graph);
  }

  /**
   * Runs all steps, and replaces the parameters by their new values, all at once.
   * @param finish - called after the last step with a function that reads the outputs. If it rejects, nothing is
   * replaced.
   * @param after - called after each step.
   */
  async run<T>(
    feeds: ReadonlyMap<string, Tensor>,
    finish: (outputs: () => Promise<readonly Float32Array[]>) => Promise<T>,
    after?: (step: Step<B>) => Promise<void>,
  ): Promise<T> {
    this.lifetime.requireAlive();
    const { runtime, resident, slots } = this;
    const host: HostValues = (name) => valuesFor(this.graph, name, this.#inputs.get(name)!.shape, feeds);
    for (const check of this.plan.checks) check(host);
    const tensors = new Map(resident);
    try {
      for (const { slot, layout, of } of slots.fed)
        tensors.set(
          slot,
          runtime.upload(layout, (staged) => layout.toDevice(of(host), staged)),
        );
      for (const step of this.steps) {
        tensors.set(step.result, step.run(step.inputs.map((slot) => tensors.get(slot)!)));
        await after?.(step);
        for (const slot of step.dead) {
          runtime.free(tensors.get(slot)!);
          tensors.delete(slot);
        }
      }
      const result = await finish(() => this.read(slots.outputs, tensors));
      for (const { slot, next } of slots.states.values()) {
        runtime.free(resident.get(slot)!);
        resident.set(slot, tensors.get(next)!);
        tensors.delete(next);
      }
      return result;
    } finally {
      if (!this.lifetime.ended)
        for (const [slot, tensor] of tensors) if (!resident.has(slot)) runtime.free(tensor);
    }
  }

  /** Reads tensors in the order of the device. Default: tensors that stay there. */
  read(
    named: ReadonlyMap<string, Slot>,
    tensors: ReadonlyMap<number, DeviceTensor<B>> = this.resident,
  ): Promise<readonly Float32Array[]> {
    return this.runtime.read([...named.values()].map(({ slot }) => tensors.get(slot)!));
  }
}

/** Gives tensors as the host knows them, from the values in the order of the device. */
const toHost = (named: ReadonlyMap<string, Slot>, staged: readonly Float32Array[]): Map<string, Tensor> =>
  new Map(
    [...named].map(([name, { layout }], index) => [
      name,
      { shape: layout.shape, data: layout.toHost(staged[index]!) },
    ]),
  );

function programOf<B extends Block>(
  execution: Execution<B>,
  weights: Weights,
  fallbackReason: string | undefined,
): Program {
  const { graph, lifetime, runtime, resident } = execution;
  const { outputs, states } = execution.slots;
  const kept = new Map([...parametersOf(graph).keys()].map((name) => [name, weights.get(name)!]));
  return {
    backend: runtime.backend,
    threads: 1,
    fallbackReason,
    get memory() {
      return lifetime.ended ? 0 : runtime.memory;
    },
    async run(feeds, signal) {
      signal?.throwIfAborted();
      return toHost(outputs, await execution.run(feeds, (read) => abortable(read(), signal)));
    },
    async parameters() {
      lifetime.requireAlive();
      return new Map([...kept, ...toHost(states, await execution.read(states))]);
    },
    async profile(feeds) {
      const times = new Map<Node, ProfileStep>();
      let since = performance.now();
      await execution.run(
        feeds,
        (read) => read(),
        async ({ node, algorithm }) => {
          await runtime.read([]);
          const now = performance.now();
          times.set(node, stepOf(node, algorithm, (times.get(node)?.milliseconds ?? 0) + now - since));
          since = now;
        },
      );
      return {
        backend: runtime.backend,
        threads: 1,
        notes: [
          ...runtime.notes,
          `${runtime.kernels} kernels`,
          'times include a wait after each step, which a run does not have',
        ],
        steps: [...times.values()],
      };
    },
    dispose: () =>
      lifetime.end(() => {
        resident.clear();
        runtime.dispose();
      }),
  };
}

/** Rejects when the signal aborts. The device finishes the work, and its results are dropped. */
async function abortable<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return work;
  signal.throwIfAborted();
  let stop = (): void => undefined;
  const aborted = new Promise<never>((_, reject) => {
    stop = () => reject(signal.reason);
    signal.addEventListener('abort', stop);
  });
  try {
    return await Promise.race([work, aborted]);
  } finally {
    signal.removeEventListener('abort', stop);
    work.catch(() => undefined);
  }
}
