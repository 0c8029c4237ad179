// Package real holds tests and benchmarks of the DNS server against the world: what dig sees of it by RFC 8906's checks, how unbound, BIND
// and Knot Resolver resolve through it, and what it costs beside CoreDNS and gdnsd under dnsperf. It has no code of its own; nothing imports it.
package real
