with

-- Of a number of rows, the last of the day.
run as (
    select
        (started_at at time zone 'UTC')::date as date_day,
        count(*) as runs,
        count(*) filter (where not succeeded) as failed_runs,
        sum(tests_failed)::bigint as tests_failed,
        sum(tests_warned)::bigint as tests_warned,
        (array_remove(array_agg(rows_in_lake order by started_at desc), null))[1]
            as rows_in_lake,
        (array_remove(array_agg(rows_in_silver order by started_at desc), null))[1]
            as rows_in_silver,
        (array_remove(array_agg(rows_rejected order by started_at desc), null))[1]
            as rows_rejected,
        (array_remove(array_agg(rows_superseded order by started_at desc), null))[1]
            as rows_superseded,
        (array_remove(array_agg(rows_unreadable_quantity order by started_at desc), null))[1]
            as rows_unreadable_quantity,
        (array_remove(array_agg(rows_missing_quantity order by started_at desc), null))[1]
            as rows_missing_quantity
    from {{ ref('data_quality_run') }}
    group by 1
),

load as (
    select
        (finished_at at time zone 'UTC')::date as date_day,
        count(*) as loads,
        sum(rows_read)::bigint as lines_read,
        sum(rows_rejected)::bigint as lines_rejected
    from {{ source('forex', 'load_ledger') }}
    where finished_at is not null
    group by 1
),

final as (
    select
        date_day,
        coalesce(run.runs, 0) as runs,
        coalesce(run.failed_runs, 0) as failed_runs,
        coalesce(run.tests_failed, 0) as tests_failed,
        coalesce(run.tests_warned, 0) as tests_warned,
        run.rows_in_lake,
        run.rows_in_silver,
        run.rows_rejected,
        run.rows_superseded,
        run.rows_unreadable_quantity,
        run.rows_missing_quantity,
        coalesce(load.loads, 0) as loads,
        coalesce(load.lines_read, 0) as lines_read,
        coalesce(load.lines_rejected, 0) as lines_rejected
    from run
    full join load using (date_day)
)

select * from final
