/** @cnn/googlenet: torchvision's GoogLeNet, and the form that an article prints (article.ts). */
import type { ModelEntry, Paper } from '@cnn/core';
import { type GooglenetOptions, googlenet } from './googlenet.js';
import { weights } from './weights.js';

export { article } from './article.js';
export { type GooglenetOptions, googlenet } from './googlenet.js';
export { renames } from './weights.js';

const paper: Paper = {
  title: 'Going deeper with convolutions',
  authors:
    'C. Szegedy, W. Liu, Y. Jia, P. Sermanet, S. Reed, D. Anguelov, D. Erhan, V. Vanhoucke, A. Rabinovich',
  year: 2014,
  url: 'https://arxiv.org/abs/1409.4842',
};

/** The models of this family by their published names. */
export const models: Readonly<Record<'googlenet', ModelEntry<GooglenetOptions>>> = {
  googlenet: {
    name: 'googlenet',
    build: googlenet,
    input: [1, 3, 224, 224],
    minimum: 15,
    parameters: 6_624_904,
    macs: 1_498_376_192,
    paper,
    weights: weights.googlenet,
  },
};
