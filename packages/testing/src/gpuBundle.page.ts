/** The page of `gpuBundle.test.ts`: runs part of the conformance suite on both modes of the gpu back end. */
import { gpuBackend } from '@cnn/core';
import { differences } from './conformance.js';
import { networkConformance } from './conformanceNetworks.js';
import { opConformance } from './conformanceOps.js';

/** Result of one mode. */
export interface BundleResult {
  /** Number of cases. */
  readonly cases: number;
  /** Differences from the reference. */
  readonly problems: readonly string[];
}

const cases = [
  ...(['softmax', 'maxPool', 'concat', 'channelShuffle'] as const).flatMap(opConformance),
  ...networkConformance().filter(({ name }) => /^(residual|inverted).*batch 1, simplified/.test(name)),
];

/** Global variable through which the test starts the cases. */
export interface PageGlobals {
  runBundle?(): Promise<Readonly<Record<string, BundleResult>>>;
}

async function runBundle(): Promise<Readonly<Record<string, BundleResult>>> {
  const results: Record<string, BundleResult> = {};
  for (const mode of ['webgpu', 'webgl2'] as const) {
    const problems: string[] = [];
    for (const subject of cases) problems.push(...(await differences(gpuBackend({ mode }), subject)));
    results[mode] = { cases: cases.length, problems };
  }
  return results;
}

(globalThis as PageGlobals).runBundle = runBundle;
