package envoy

import (
	_ "github.com/lockkeeper/lockkeeper/gateway/mesh"
	_ "github.com/lockkeeper/lockkeeper/probes"
	_ "github.com/lockkeeper/lockkeeper/xds"
)
