import { preset } from '../../scripts/tsup.preset.js';

export default preset({ entry: ['src/main.ts'], format: ['esm'], platform: 'node', dts: false });
