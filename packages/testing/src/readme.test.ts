import { join } from 'node:path';
import { readmeExamples } from './readme.js';

readmeExamples(join(import.meta.dirname, '../../core/README.md'));
readmeExamples(join(import.meta.dirname, '../../../README.md'));
