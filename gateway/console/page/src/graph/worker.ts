// Lays a graph out, beside the page's own thread.

import { Graph, layout } from "@dagrejs/dagre";
import type { Answer, Job } from "./layout";

self.onmessage = (message: MessageEvent<Job>) => {
  const job = message.data;
  const graph = new Graph({ multigraph: false });
  graph.setGraph({ rankdir: "LR", nodesep: 14, edgesep: 8, ranksep: 96, marginx: 8, marginy: 8, ranker: job.boxes.length > 150 ? "tight-tree" : "network-simplex" });
  graph.setDefaultEdgeLabel(() => ({}));
  for (const box of job.boxes) graph.setNode(box.id, { width: box.width, height: box.height });
  for (const [from, to] of job.links) {
    if (from !== to) graph.setEdge(from, to, { weight: 1 });
  }
  layout(graph);
  const answer: Answer = { shape: job.shape, width: 0, height: 0, boxes: {}, bends: {} };
  for (const id of graph.nodes()) {
    const node = graph.node(id);
    answer.boxes[id] = { x: (node.x ?? 0) - node.width / 2, y: (node.y ?? 0) - node.height / 2 };
    answer.width = Math.max(answer.width, (node.x ?? 0) + node.width / 2 + 8);
    answer.height = Math.max(answer.height, (node.y ?? 0) + node.height / 2 + 8);
  }
  for (const edge of graph.edges()) {
    // The first and the last point lie on the boxes; lines begin and end at rows instead.
    const points = (graph.edge(edge).points ?? []).slice(1, -1);
    if (points.length > 1) answer.bends[`${edge.v}>${edge.w}`] = points.map((p: { x: number; y: number }) => [p.x, p.y]);
  }
  self.postMessage(answer);
};
