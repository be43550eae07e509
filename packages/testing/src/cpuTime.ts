/** The time that this process has computed, in milliseconds: what other programs on the machine do does not count. */
export function cpuTime(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}
