{% macro settle() -%}
    {#- Waits, on a cluster, until whatever had committed when the model's marks were fetched can be
        seen on every worker. The coordinator commits first and tells the workers then: a moment
        later as a rule, minutes later when a worker was restarted in between. A model that read in
        that gap would miss rows and never hear of them again. What is under way on the workers now
        is watched until it is gone; what begins later is behind the marks. -#}
    {%- if env_var('WAREHOUSE_WORKERS', '') -%}
        ;
        do $$
        declare
            node record;
            present text;
            awaited text[];
        begin
            for attempt in 1 .. 1800 loop
                present := '';
                for node in
                    select * from run_command_on_workers(
                        'select coalesce(string_agg(gid, '' ''), '''') from pg_prepared_xacts'
                        ' where gid like ''citus_%'''
                    )
                loop
                    if not node.success then
                        raise exception 'worker %:% does not answer: %', node.nodename, node.nodeport, node.result
                        using hint = 'Bring it back and run the build again; nothing is lost.';
                    end if;
                    present := present || ' ' || node.result;
                end loop;
                awaited := array(
                    select gid from unnest(coalesce(awaited, string_to_array(present, ' '))) as gid
                    where gid <> '' and gid = any (string_to_array(present, ' '))
                );
                exit when awaited = '{}';
                if attempt = 1800 then
                    raise exception 'a transaction that has committed is not done on every worker: %', awaited;
                end if;
                perform pg_sleep(0.1);
            end loop;
        end
        $$
    {%- endif -%}
{%- endmacro %}
