/** What `gpuBundle.test.ts` runs in a page: a part of the conformance suite on both modes of the gpu back end. */
import { gpuBackend } from '@cnn/core';
import { differences } from './conformance.js';
import { networkConformance } from './conformanceNetworks.js';
import { opConformance } from './conformanceOps.js';

/** How many cases ran on each mode, and everything in which they differ from the reference. */
export interface BundleResult {
  readonly cases: number;
  readonly problems: readonly string[];
}

const cases = [
  ...(['softmax', 'maxPool', 'concat', 'channelShuffle'] as const).flatMap(opConformance),
  ...networkConformance().filter(({ name }) => /^(residual|inverted).*batch 1, simplified/.test(name)),
];

async function run(): Promise<Readonly<Record<string, BundleResult>>> {
  const results: Record<string, BundleResult> = {};
  for (const mode of ['webgpu', 'webgl2'] as const) {
    const problems: string[] = [];
    for (const subject of cases) problems.push(...(await differences(gpuBackend({ mode }), subject)));
    results[mode] = { cases: cases.length, problems };
  }
  return results;
}

Object.assign(globalThis, { runBundle: run });
