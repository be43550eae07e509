import { join } from 'node:path';
import { readmeExamples } from '@cnn/testing';

readmeExamples(join(import.meta.dirname, '../README.md'));
