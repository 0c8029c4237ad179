// What a board may hold: Grafana's published types, with texts where these have enums, and nothing that they do not name.
import type { AnnotationQuery, Dashboard, FieldConfig, Panel, RowPanel, VariableModel } from '@grafana/schema'
import type * as heatmap from '@grafana/schema/dist/esm/raw/composable/heatmap/panelcfg/x/HeatmapPanelCfg_types.gen.js'
import type * as stat from '@grafana/schema/dist/esm/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen.js'
import type * as timeline from '@grafana/schema/dist/esm/raw/composable/statetimeline/panelcfg/x/StateTimelinePanelCfg_types.gen.js'
import type * as table from '@grafana/schema/dist/esm/raw/composable/table/panelcfg/x/TablePanelCfg_types.gen.js'
import type * as timeseries from '@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen.js'

type Text<T> = T extends string ? `${T}` : T extends (infer U)[] ? Text<U>[] : T extends object ? { [K in keyof T]: Text<T[K]> } : T

// Prometheus' own, which its data source's package has.
interface Query {
  refId: string
  expr: string
  legendFormat?: string
  format?: 'time_series' | 'table' | 'heatmap'
  instant?: boolean
}

interface Of<Type, Options, Custom> extends Omit<Text<Panel>, 'type' | 'targets' | 'options' | 'fieldConfig'> {
  type: Type
  title: string
  description: string
  targets: Query[]
  options: Text<Partial<Options>>
  fieldConfig: {
    defaults: Omit<Text<FieldConfig>, 'custom'> & { unit: string; custom?: Text<Partial<Custom>> }
    overrides: Text<NonNullable<Panel['fieldConfig']>['overrides']>
  }
}

type AnyPanel =
  | Of<'timeseries', timeseries.Options, timeseries.FieldConfig>
  | Of<'stat', stat.Options, {}>
  | Of<'table', table.Options, table.FieldConfig & { filterable: boolean }>
  | Of<'heatmap', heatmap.Options, heatmap.FieldConfig>
  | Of<'state-timeline', timeline.Options, timeline.FieldConfig>
  | Text<RowPanel>

interface Variable extends Omit<Text<VariableModel>, 'query'> {
  query: string | { query: string; refId: string }
}

interface Annotation extends Omit<Text<AnnotationQuery>, 'target'> {
  target: Query & { interval?: string }
  titleFormat?: string
}

export interface Board extends Omit<Text<Dashboard>, 'panels' | 'templating' | 'annotations'> {
  uid: string
  title: string
  panels: AnyPanel[]
  templating: { list: Variable[] }
  annotations: { list: Annotation[] }
}
