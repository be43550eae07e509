/** How every package is built: ESM, CommonJS and types, each from src/index.ts. */
import { defineConfig, type Options } from 'tsup';

/** The preset, with what a package needs beside it. */
export const preset = (extra: Options = {}) =>
  defineConfig({
    entry: ['src/index.ts'],
    format: ['esm', 'cjs'],
    target: 'es2022',
    platform: 'neutral',
    // Types of other packages come from their builds, not from their sources.
    dts: { compilerOptions: { ignoreDeprecations: '6.0', paths: {} } },
    treeshake: true,
    clean: true,
    silent: true,
    ...extra,
  });
