/** What a process waits for at the broker. An outage hits all its connections, on every host, and is said once. */
export type Outage = {
  /** Was the reason not said yet in this outage? It is now. */
  isNews(reason: string): boolean;
  /** A connection is up: what comes now is another outage. */
  end(): void;
};

export const makeOutage = (): Outage => {
  const said = new Set<string>();
  return {
    isNews: (reason) => {
      if (said.has(reason)) return false;
      said.add(reason);
      return true;
    },
    end: () => {
      said.clear();
    },
  };
};
