package probes

import _ "github.com/lockkeeper/lockkeeper/xds"
