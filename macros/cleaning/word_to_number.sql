{#-
    word_to_number(expression): a SQL text expression to exact numeric; NULL for what is not a number.

    Grammar, in any case and with white space around and between words ([…] is optional):

        digits    = [sign] [currency] number | "(" [currency] number ")"       $1,200.00  (15)  -5  1e3
        words     = [sign] [currency] amount [" dollars" [["," | "and"] cents]] | [sign] part " cents"
        amount    = whole [decimals | "and" half]
                  | (part [decimals | "and" half] | decimals | half ["a"] | number) [scale]
        whole     = "zero" | {part scale [","] ["and"]} [part]
        part      = below 100 | [below 10 | "a"] "hundred" [["and"] below 100]
        decimals  = "point" digit {digit}          half = ["a" | "one"] "half"
        sign      = "minus" | "negative" | "plus" | "-" | "+"
        scale     = "thousand" | "million" | … | "quintillion" (10^18), each smaller than the one before
        currency  = $ € £ USD EUR GBP before; dollars, euros, pounds, USD … after; cents, pence, penny

    A part may be digits: "2 hundred", "5 thousand 200". The first scale may stand alone or after "a":
    "hundred", "a thousand and one". Ten to ninety-nine hundreds make a part that no scale follows, and
    no "thousand" precedes: "thirty-four hundred and fifty". A hyphen is as good as a space between
    words. No more than 1000 characters, exponents up to 999: longer ones are NULL.

    How it is read. The usual number words are looked up in dictionaries. Each other reader below is one
    chain in which every step uses the step before once. A subquery that names its steps would have to
    be kept from being flattened, or PostgreSQL computes a step again wherever it is used; and
    `offset 0`, which keeps it, is what Citus does not push down.

    A chain turns words into codes of capital letters and digits. The text is in lower case by then,
    so nothing that it holds passes for a code. Words take the space before them along: what is glued
    to another word, or is no number word, stays behind and makes the result NULL.

    Regular expressions cost most here, in proportion to their size: hence plain `replace` wherever
    it can do the work, and dictionaries, where a look-up costs two of `replace`, for the usual words.
    Characters cost more to count than bytes. Everything is collated "C": the answer does not depend
    on the locale of the database, and digits, `-`, `$` and `(` come before letters.
-#}

{% macro word_to_number(expression) -%}
    {%- set text = '((' ~ expression ~ ')::text collate "C")' -%}
    case
        when octet_length({{ text }}) > 1000 and length({{ text }}) > 1000 then null
        when {{ text }} ~ '^[-+]?[0-9]+([.][0-9]+)?$' then {{ text }}::numeric
        else coalesce(
            case when {{ text }} >= 'A' then {{ number_in_plain_words(text) }} end,
            case
                when {{ text }} ~ '[A-Za-z][A-Za-z]' then {{ number_in_words(text) }}
                else {{ number_in_digits(text) }}
            end
        )
    end
{%- endmacro %}


{% macro number_in_digits(text) -%}
    {#- Currency symbols, groups of three, exponents, accounting parentheses. -#}
    {%- set plain = '(?:[0-9]+(?:[.][0-9]*)?|[.][0-9]+)(?:[eE][-+]?0*[0-9]{1,3})?' -%}
    {%- set grouped = '[1-9][0-9]{0,2}(?:,[0-9]{3})+(?:[.][0-9]*)?' -%}
    {%- set number = '(?:' ~ plain ~ '|' ~ grouped ~ ')' -%}
    {%- set signed = '(?:(?:[-+−] ?)?(?:[$€£] ?)?|[$€£] ?[-+−] ?)' ~ number ~ '(?: ?[$€£])?' -%}
    {%- set accounting = '(?:[$€£] ?)?[(](?:[$€£] ?)?' ~ number ~ '[)]' -%}
    translate(
        substring(
            btrim({{ text }}, E' \t\n\r\f\v\u00a0')
            from '^(?:{{ signed }}|{{ accounting }})$'
        ),
        '(−$€£ ,+)', '--'
    )::numeric
{%- endmacro %}


{% macro number_in_plain_words(text) -%}
    {#- Nothing but number words, up to 999,999,999 or with decimals up to 999,999. Each part is looked
        up twice, by what stands before "hundre" and by what stands behind it. Z is its end: what
        another scale cuts short has none.

            minus nine hundred and five thousand, sixty-one
            "minus nine " "d and fiveZ"     ", sixty-oneZ" ""
            -9            05                061

        What is not found makes the whole NULL. The look for scales misses some capitals; then what
        holds them is not found either, and the general reader reads it. -#}
    {%- set words = 'lower(' ~ text ~ ')' -%}
    {%- set whole = 'lower(split_part(' ~ text ~ ", ' point ', 1))" -%}
    {%- set before_thousand = 'split_part(' ~ words ~ ", ' thousand', 1)" -%}
    {%- set has_thousand = 'strpos(' ~ text ~ ", 'housand') > 0" -%}
    {%- set last_scale = 'case when ' ~ has_thousand ~ " then ' thousand' else ' million' end" -%}
    {%- set decimals = replace_each(
        'substr(' ~ words ~ ', strpos(' ~ text ~ ", ' point ') + 6)", [('-', ' '), (' zero', 'U0')]
    ) -%}
    {%- set signs = {'': '', 'minus ': '-', 'negative ': '-'} -%}
    {%- set joints = {' ': '', ', ': '', ' and ': ''} -%}
    {%- set nothing = '"Z":"000"' -%}
    case
        when strpos({{ text }}, 'illion') > 0 then (
            {{ digits_of_part('split_part(' ~ words ~ ", ' million', 1) || 'Z'", signs) }}
            || case
                when {{ has_thousand }}
                    then {{ digits_of_part('split_part(' ~ before_thousand ~ " || 'Z', ' million', 2)", joints, '0') }}
                else '000'
            end
            || {{ digits_of_part('split_part(' ~ words ~ " || 'Z', " ~ last_scale ~ ', 2)', joints, '0', nothing) }}
        )::numeric
        else (
            case
                when strpos({{ words }}, ' thousand') > 0
                    then {{ digits_of_part(before_thousand ~ " || 'Z'", signs) }}
                        || {{ digits_of_part('split_part(' ~ whole ~ " || 'Z', ' thousand', 2)", joints, '0', nothing) }}
                else {{ digits_of_part(whole ~ " || 'Z'", signs, others=json_entries(signs, 'zeroZ', '0') ~ '"":null') }}
            end
            || case
                when strpos({{ text }}, ' point ') > 0
                    then '.' || replace(substring({{ encode_units(decimals) }} from '^(?:U[0-9])+$'), 'U', '')
                else ''
            end
        )::numeric
    end
{%- endmacro %}


{% macro digits_of_part(part, leads, zero='', others='"":null') -%}
    ({{ numbers_below_100(leads, zero, others, hundreds=true) }} ->> split_part({{ part }}, 'hundre', 1))
    || ({{ numbers_below_100({'d ': '', 'd and ': ''}, others='"":"","dZ":"00"') }} ->> split_part({{ part }}, 'hundre', 2))
{%- endmacro %}


{% macro numbers_below_100(leads, zero, others, hundreds=false) -%}
    {#- {"oneZ":"01",…,"ninety-nineZ":"99"}, and "one ":"1" for hundreds. PostgreSQL makes it of three
        lists when it plans, in some 0.2 ms; in full it would be 12,000 characters here. -#}
    {%- set ones = 'one1two2three3four4five5six6seven7eight8nine9' -%}
    {%- set teens = 'ten0eleven1twelve2thirteen3fourteen4fifteen5sixteen6seventeen7eighteen8nineteen9' -%}
    {%- set tens = 'twenty2thirty3forty4fifty5sixty6seventy7eighty8ninety9' -%}
    {%- set one = json_entries(leads, '\\1Z', zero ~ '0\\2') ~ (json_entries(leads, '\\1 ', '\\2') if hundreds else '') -%}
    {%- set teen = json_entries(leads, '\\1Z', zero ~ '1\\2') -%}
    {%- set ten = json_entries(leads, '\\1Z', zero ~ '\\20') -%}
    {%- set ten_and_one = json_entries(leads, '\\\\1-\\1Z', zero ~ '\\\\2\\2') ~ json_entries(leads, '\\\\1 \\1Z', zero ~ '\\\\2\\2') -%}
    (
        '{'
        || regexp_replace('{{ ones }}', '(\D+)(.)', '{{ one }}', 'g')
        || regexp_replace('{{ teens }}', '(\D+)(.)', '{{ teen }}', 'g')
        || regexp_replace('{{ tens }}', '(\D+)(.)', '{{ ten }}' || regexp_replace('{{ ones }}', '(\D+)(.)', '{{ ten_and_one }}', 'g'), 'g')
        || '{{ others }}}'
    )::jsonb
{%- endmacro %}


{% macro json_entries(leads, words, digits) -%}
    {%- for lead, sign in leads.items() %}"{{ lead }}{{ words }}":"{{ sign }}{{ digits }}",{% endfor -%}
{%- endmacro %}


{% macro number_in_words(text) -%}
    {#- Everything else: the codes become a sum, and jsonpath is the calculator.

            minus two million, one hundred and twelve point five
            N S U2 M G, U1X A T2 P U5       sign, start, unit, million, next part, …, teen, point, unit
            -(2e6+112.5)
    -#}
    {%- set spaces = [
        ('\\t', ' '), ('\\n', ' '), ('\\r', ' '), ('\\f', ' '), ('\\v', ' '), ('\\u00a0', ' '),
        ('d,', 'd, '), ('n,', 'n, '), (' ', 'XY'), ('YX', ''), ('XY', ' '), (' ,', ','),
    ] -%}
    {%- set prefixes = [
        ('Sminus ', 'S-'), ('Snegative ', 'S-'), ('Splus ', 'S+'), ('S−', 'S-'), ('S-', 'NS'), ('S+', 'BS'),
        ('S€', 'S$'), ('S£', 'S$'), ('Susd ', 'S$'), ('Seur ', 'S$'), ('Sgbp ', 'S$'), ('S$', 'FS'),
        ('S−', 'NS'), ('S-', 'NS'), ('S+', 'BS'), ('S ', 'S'), ('S', 'S '), ('-', ' '),
    ] -%}
    {%- set scales = [
        (' hundred', 'X'), (' thousand', 'KG'), (' million', 'MG'), (' billion', 'HG'), (' trillion', 'VG'),
        (' quadrillion', 'QG'), (' quintillion', 'ZG'),
    ] -%}
    {%- set others = [
        (' fourty', 'D4Y'), (' zero', 'O'), (' point', 'P'), (' half', 'E'),
        (' dollar', 'J'), (' euro', 'J'), (' pound', 'J'), (' usd', 'J'), (' eur', 'J'), (' gbp', 'J'),
        (' cent', 'I'), (' pence', 'I'), (' penny', 'I'), (' and', 'A'), (' an', 'W'), (' a', 'W'),
        ('S ', 'SR'), (' ', 'L'),
    ] -%}
    {%- set meetings = [
        ('YU', ''), ('Y', '0'), ('SX', 'SU1X'), ('XAU', 'XU'), ('XAT', 'XT'), ('XAD', 'XD'),
        ('XU', 'YC'), ('XT', 'Y1'), ('XD', 'Y'), ('X', 'YCC'),
    ] -%}
    {%- set terms = [
        ('EW', 'E'), ('WE', 'E'), ('U1E', 'E'), ('E', '.5'), ('L0', 'L'),
        ('K', 'e3+'), ('M', 'e6+'), ('H', 'e9+'), ('V', 'e12+'), ('Q', 'e15+'), ('Z', 'e18+'),
        ('J', '+'), ('I', 'e-2'), ('S', '('),
    ] -%}
    {%- set spaced = replace_each("'S' || btrim(" ~ replace_each('lower(' ~ text ~ ')', spaces) ~ ')', prefixes) -%}
    {#- A digit that touches the word before it is no number. -#}
    {%- set spaced = 'regexp_replace(' ~ spaced ~ ", '[a-z][0-9]', '!')" -%}
    {%- set codes = replace_each(encode_below_100(replace_each(spaced, scales + others[:1])), others[1:]) -%}
    {#- Digits after "hundred" are units or tens, like words there. -#}
    {%- set codes = 'regexp_replace(' ~ codes ~ ", 'X(A?)L([1-9])(?![0-9.,])', 'X\\1U\\2')" -%}
    {%- set codes = 'regexp_replace(' ~ codes ~ ", 'X(A?)L([1-9][0-9])(?![0-9.,])', 'X\\1D\\2')" -%}
    {#- All of it or NULL. As a constraint the grammar is run once, as a pattern to cut out it is run twice. -#}
    {%- set valid = 'substring(' ~ replace_each(codes, meetings) ~ " from '^(?=" ~ grammar_of_codes() ~ "$).*')" -%}
    {%- set sum = 'translate(' ~ replace_each(valid, terms) ~ ", 'TOPWNCABDFGLRUY,s', '10.1-0') || ')'" -%}
    jsonb_path_query_first(
        '0', {{ replace_each(sum, [('(e', '(1e'), ('++', '+'), ('+)', ')')]) }}::jsonpath
    )::numeric
{%- endmacro %}


{% macro grammar_of_codes() -%}
    {%- set part = '(?:[UDLR][1-9](?:[0-9]{0,2}|Y[0-9C]{2})|T[0-9]|WY[0-9C]{2})' -%}
    {%- set of_four_digits = '(?:[UDLR][1-9][0-9]Y[0-9C]{2}|T[0-9]Y[0-9C]{2}|[LR][1-9][0-9]{3})' -%}
    {%- set next = '(?:S|G,?A?)' -%}
    {%- set before_scale = '(?:' ~ next ~ part ~ '|SW?)' -%}
    {%- set point = 'P(?:U[1-9]|O)+' -%}
    {%- set half = '(?:W|U1)?E' -%}
    {%- set digits = 'R(?:(?:0|[1-9][0-9]*|[1-9][0-9]{0,2}(?:,[0-9]{3})+)(?:[.][0-9]+)?|[.][0-9]+)' -%}
    {%- set scale = '[KMHVQZ]G' -%}
    {%- set cents = '(?:[UDL][1-9][0-9]?|T[0-9]|O|L0[0-9])Is?' -%}
    (?:[NB]?F?|F[NB])(?:(?:
    {%- for scale in 'ZQVHM' %}(?:{{ before_scale }}{{ scale }})?{% endfor -%}
    (?:{{ before_scale }}K(?:{{ next }}{{ part }})?|{{ next }}(?:{{ part }}|{{ of_four_digits }}))?
    {#- -#}
    (?:A{{ half }}|G?(?:{{ point }})?)
    {#- -#}
    |S(?:O|(?:(?:{{ part }}|O)?{{ point }}|{{ part }}A{{ half }}|{{ half }}|{{ digits }})(?:{{ scale }})?|{{ half }}W(?:{{ scale }}|(?=J))|W(?=J))
    {#- -#}
    )(?:Js?(?:,?A?{{ cents }})?)?|S(?:{{ part }}|O|W)Is?)
{%- endmacro %}


{% macro encode_below_100(expression) -%}
    {%- set words = [
        (' ten', 'T0'), (' eleven', 'T1'), (' twelve', 'T2'), (' thirteen', 'T3'), (' fourteen', 'T4'),
        (' fifteen', 'T5'), (' sixteen', 'T6'), (' seventeen', 'T7'), (' eighteen', 'T8'), (' nineteen', 'T9'),
        (' twenty', 'D2Y'), (' thirty', 'D3Y'), (' forty', 'D4Y'), (' fifty', 'D5Y'), (' sixty', 'D6Y'),
        (' seventy', 'D7Y'), (' eighty', 'D8Y'), (' ninety', 'D9Y'),
    ] -%}
    {{ encode_units(replace_each(expression, words)) }}
{%- endmacro %}


{% macro encode_units(expression) -%}
    {%- set words = [
        (' one', 'U1'), (' two', 'U2'), (' three', 'U3'), (' four', 'U4'), (' five', 'U5'), (' six', 'U6'),
        (' seven', 'U7'), (' eight', 'U8'), (' nine', 'U9'),
    ] -%}
    {{ replace_each(expression, words) }}
{%- endmacro %}


{% macro replace_each(expression, pairs) -%}
    {%- for pair in pairs %}replace({% endfor -%}
    {{ expression }}
    {%- for from, to in pairs %}, {{ 'E' if '\\' in from }}'{{ from }}', '{{ to }}'){% endfor -%}
{%- endmacro %}
