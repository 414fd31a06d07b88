-- What somebody would write who needs no more than the tables: one session, one script. `cleaned`
-- is the select that the project compiles, as the rules of cleaning are the same for everybody.

-- full
drop schema if exists hand cascade;
create schema hand;
create table hand.cleaned as {cleaned};
create unique index on hand.cleaned (source_transaction_id);
create index on hand.cleaned (transaction_id);
create table hand.missing_quantity as {missing};
create unique index on hand.missing_quantity (transaction_id);
create table hand.transaction as
select distinct on (transaction_id) *
from hand.cleaned
where transaction_id is not null
order by transaction_id, load_timestamp desc, source_line desc, source_transaction_id desc;
create unique index on hand.transaction (transaction_id);
create index on hand.transaction (source_transaction_id);
analyze hand.transaction;
create table hand.rejected as select * from hand.cleaned where reasons is not null;
create unique index on hand.rejected (source_transaction_id);
create table hand.superseded as
select cleaned.*
from hand.cleaned
left join hand.transaction as winner using (source_transaction_id)
where cleaned.transaction_id is not null and winner.transaction_id is null;
create index on hand.superseded (transaction_id);
create table hand.customer_dim as
select distinct
    customer_id, customer_first_name, customer_last_name, customer_email, customer_phone
from hand.transaction;
create unique index on hand.customer_dim (customer_id);
create table hand.product_dim as select distinct product_id, product_name from hand.transaction;
create unique index on hand.product_dim (product_id);
create table hand.location_dim as
select distinct location_id, customer_city, customer_country from hand.transaction;
create unique index on hand.location_dim (location_id);
create table hand.date_dim as select distinct transaction_date from hand.transaction;
create unique index on hand.date_dim (transaction_date);
create table hand.transaction_fct as
select
    transaction_id, customer_id, product_id, location_id, transaction_date, source_transaction_id,
    quantity, price, tax, load_timestamp
from hand.transaction;
create unique index on hand.transaction_fct (transaction_id);

-- increment
create temporary table changed on commit drop as {changed};
create temporary table affected on commit drop as
select transaction_id from changed where transaction_id is not null
union
select held.transaction_id
from hand.transaction as held
inner join changed using (source_transaction_id);
analyze changed;
analyze affected;
delete from hand.cleaned using changed
where cleaned.source_transaction_id = changed.source_transaction_id;
insert into hand.cleaned select * from changed;
delete from hand.missing_quantity using changed
where missing_quantity.transaction_id = changed.source_transaction_id;
insert into hand.missing_quantity {missing_changed};
delete from hand.rejected using changed
where rejected.source_transaction_id = changed.source_transaction_id;
insert into hand.rejected select * from changed where reasons is not null;
delete from hand.transaction using affected
where transaction.transaction_id = affected.transaction_id;
insert into hand.transaction
select distinct on (transaction_id) cleaned.*
from hand.cleaned
inner join affected using (transaction_id)
order by transaction_id, load_timestamp desc, source_line desc, source_transaction_id desc;
delete from hand.superseded using affected
where superseded.transaction_id = affected.transaction_id;
insert into hand.superseded
select cleaned.*
from hand.cleaned
inner join affected using (transaction_id)
left join hand.transaction as winner using (source_transaction_id)
where winner.transaction_id is null;
insert into hand.customer_dim
select distinct
    customer_id, customer_first_name, customer_last_name, customer_email, customer_phone
from hand.transaction inner join affected using (transaction_id)
on conflict do nothing;
insert into hand.product_dim
select distinct product_id, product_name
from hand.transaction inner join affected using (transaction_id)
on conflict do nothing;
insert into hand.location_dim
select distinct location_id, customer_city, customer_country
from hand.transaction inner join affected using (transaction_id)
on conflict do nothing;
insert into hand.date_dim
select distinct transaction_date
from hand.transaction inner join affected using (transaction_id)
on conflict do nothing;
delete from hand.transaction_fct using affected
where transaction_fct.transaction_id = affected.transaction_id;
insert into hand.transaction_fct
select
    transaction_id, customer_id, product_id, location_id, transaction_date, source_transaction_id,
    quantity, price, tax, load_timestamp
from hand.transaction inner join affected using (transaction_id);
