package probes

import "time"

// repeat sends a request once more that has no reply when a quarter and when half of its time is over. So the loss of a single packet is no failure: of
// those that a network loses by chance three in a row are as rare as of those that it loses for seconds.
func (p *pings) repeat(t *pinged, f flight, e pingEvent, now time.Duration) {
	if now-f.sent >= t.timeout { // this process was held up
		return
	}
	p.copies = append(p.copies, echoRequest{echo: echo{seq: f.seq, index: e.index, nonce: f.nonce}, to: t.ip, size: t.size})
	if e.copies--; e.copies > 0 {
		p.at(f.sent+t.timeout/2, e)
	}
}

// send sends what is wanted, some at a time: the times are to be true, and the replies may come sooner than all is sent.
func (p *pings) send() {
	const most = 128
	for done := 0; done < len(p.requests); {
		some := p.requests[done:min(done+most, len(p.requests))]
		wall := time.Now()
		sent := wall.Sub(p.base)
		for i, r := range some {
			t := &p.targets[r.index]
			t.flights = append(t.flights, flight{nonce: r.nonce, sent: sent, wall: wall.UnixNano(), seq: r.seq, again: p.again[done+i]})
			p.at(sent+t.timeout, pingEvent{nonce: r.nonce, index: r.index, life: t.life})
			p.at(sent+t.timeout/4, pingEvent{nonce: r.nonce, index: r.index, life: t.life, copies: pingCopies})
		}
		p.inFlight += len(some)
		done += len(some)
		p.socket.send(some, p.unsent)
		if done < len(p.requests) {
			p.receive() // which may want more
		}
	}
	p.socket.send(p.copies, func(echoRequest, error) {}) // the first one has gone out
	p.requests, p.again, p.copies = p.requests[:0], p.again[:0], p.copies[:0]
}
