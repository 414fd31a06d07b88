with

run as (
    select * from {{ source('audit', 'dbt_run') }}
),

result as (
    select *
    from {{ source('audit', 'dbt_result') }}
    -- These say nothing of the node.
    where status not in ('skipped', 'no-op')
),

history as (
    select
        result.unique_id,
        result.resource_type,
        result.name,
        result.status,
        result.failures,
        result.message,
        result.status in ('success', 'pass') as is_good,
        run.started_at
    from result
    inner join run using (invocation_id)
),

latest as (
    select distinct on (unique_id) *
    from history
    order by unique_id asc, started_at desc
),

turned as (
    select
        unique_id,
        max(history.started_at) filter (where history.is_good) as last_passed_at,
        max(history.started_at) filter (where history.status <> latest.status) as last_other_at
    from history
    inner join latest using (unique_id)
    group by unique_id
),

begun as (
    select
        unique_id,
        min(history.started_at) filter (
            where turned.last_other_at is null or history.started_at > turned.last_other_at
        ) as status_since,
        min(history.started_at) filter (
            where turned.last_passed_at is null or history.started_at > turned.last_passed_at
        ) as bad_since
    from history
    inner join turned using (unique_id)
    group by unique_id
),

final as (
    select
        unique_id,
        latest.resource_type,
        latest.name,
        latest.status,
        begun.status_since,
        begun.bad_since,
        turned.last_passed_at,
        latest.started_at as last_run_at,
        latest.failures,
        latest.message
    from latest
    inner join turned using (unique_id)
    inner join begun using (unique_id)
)

select * from final
