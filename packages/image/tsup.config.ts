import { preset } from '../../scripts/tsup.preset.js';

export default [
  preset({ format: ['esm'], shims: true }),
  // The PNG codec is an ES module only, so the CommonJS build bundles it. The JPEG codec is imported dynamically,
  // which works in CommonJS too.
  preset({ format: ['cjs'], shims: true, clean: false, noExternal: ['fast-png', 'iobuffer', 'fflate'] }),
];
