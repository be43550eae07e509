/** Weight files. */
export {};
