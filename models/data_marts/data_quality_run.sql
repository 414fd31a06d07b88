with

run as (
    select * from {{ source('audit', 'dbt_run') }}
),

found as (
    select
        invocation_id,
        count(*) filter (
            where resource_type in ('test', 'unit_test') and status in ('fail', 'error')
        ) as tests_failed,
        count(*) filter (where status = 'warn') as tests_warned,
        max(failures) filter (where name = 'rejected_rows_exist') as rows_rejected,
        max(failures) filter (where name = 'superseded_rows_exist') as rows_superseded,
        max(failures) filter (where name = 'unreadable_quantities_exist') as rows_unreadable
    from {{ source('audit', 'dbt_result') }}
    group by invocation_id
),

counted as (
    select
        invocation_id,
        max(rows_held) filter (where model = 'customer_transactions') as rows_in_lake,
        max(rows_held) filter (where model = 'transaction') as rows_in_silver,
        max(rows_held) filter (where model = 'missing_quantity') as rows_missing_quantity
    from {{ source('audit', 'row_count') }}
    group by invocation_id
),

final as (
    select
        invocation_id,
        run.target,
        run.command,
        run.full_refresh,
        run.started_at,
        run.finished_at,
        run.failed + run.skipped = 0 as succeeded,
        coalesce(found.tests_failed, 0) as tests_failed,
        coalesce(found.tests_warned, 0) as tests_warned,
        counted.rows_in_lake,
        counted.rows_in_silver,
        found.rows_rejected,
        found.rows_superseded,
        found.rows_unreadable as rows_unreadable_quantity,
        counted.rows_missing_quantity
    from run
    left join found using (invocation_id)
    left join counted using (invocation_id)
)

select * from final
