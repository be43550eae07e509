import { preset } from '../../scripts/tsup.preset.js';

export default [
  preset({ format: ['esm'], shims: true }),
  // The codecs are ES modules only: in the CommonJS build they are part of the bundle.
  preset({
    format: ['cjs'],
    shims: true,
    clean: false,
    noExternal: ['@jsquash/jpeg', 'fast-png', 'iobuffer', 'fflate'],
  }),
];
