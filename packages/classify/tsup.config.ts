import { preset } from '../../scripts/tsup.preset.js';

export default preset();
