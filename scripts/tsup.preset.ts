/** Build settings of every package: ESM, CommonJS and types, of src/index.ts or of the entries that a package names. */
import { defineConfig, type Options } from 'tsup';
import { notices } from './notices.js';

/**
 * Tells bundlers that what is built at the top of a file, entries of `models` and records of weights have no effect of
 * their own, so that builders which a program does not use are left out of its bundle.
 */
const pureCalls: NonNullable<Options['plugins']>[number] = {
  name: 'pure-calls',
  renderChunk: (code) => ({
    code: code.replace(
      /^(var \w+ = | {2}\w+: )(?!torchvisionWeights)(?=\w+\()|(?<=: )(?=torchvisionWeights\()/gm,
      '$1/* @__PURE__ */ ',
    ),
  }),
};

/** The preset with a package's additional options. */
export const preset = ({ esbuildPlugins = [], ...extra }: Options = {}) =>
  defineConfig({
    entry: ['src/index.ts'],
    format: ['esm', 'cjs'],
    target: 'es2022',
    platform: 'neutral',
    // Types of other packages come from their builds, not from their sources. `tsc` checks types, so nothing does here.
    // Sessions and trainers have `[Symbol.asyncDispose]`, which the library of ES2022 does not declare.
    dts: {
      banner: '/// <reference lib="esnext.disposable" />',
      compilerOptions: { ignoreDeprecations: '6.0', paths: {}, noCheck: true },
    },
    treeshake: true,
    clean: true,
    silent: true,
    plugins: [pureCalls],
    esbuildPlugins: [notices, ...esbuildPlugins],
    ...extra,
  });
