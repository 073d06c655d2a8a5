// Loaded into Azurite before it starts (`node --require`): keeps each table's rows in key order.
//
// Azurite looks at every row of a table for each query, and at every row of a partition for each
// write. The service asks for one partition, or a range of its keys: that costs its own rows only,
// in Azure and, with this, here. What a row is, what a filter means and what is answered stay
// Azurite's; this says in which rows to look. Order is that of UTF-16 code units, as Azurite sorts.

"use strict";

const persistence = "azurite/dist/src/table/persistence";
const Store = require(`${persistence}/LokiTableMetadataStore`).default;
const Generator = require(`${persistence}/LokiTableStoreQueryGenerator`).default;

const QUOTED = "'((?:[^']|'')*)'";
const BOUNDED = new RegExp(
  `^PartitionKey eq ${QUOTED}(?: and RowKey gt ${QUOTED})?(?: and RowKey lt ${QUOTED})?$`,
);

/** Give the place of the first key that does not come before this one. */
function place(keys, key) {
  let [low, high] = [0, keys.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (keys[middle] < key) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** A map that can be walked in the order of its keys, from any of them. */
class Ordered {
  #keys = [];
  #values = new Map();

  get size() {
    return this.#keys.length;
  }

  get(key) {
    return this.#values.get(key);
  }

  set(key, value) {
    if (!this.#values.has(key)) this.#keys.splice(place(this.#keys, key), 0, key);
    this.#values.set(key, value);
  }

  delete(key) {
    if (this.#values.delete(key)) this.#keys.splice(place(this.#keys, key), 1);
  }

  /** Walk the keys that do not come before `first`. */
  *from(first) {
    for (let at = place(this.#keys, first); at < this.#keys.length; at++) {
      yield [this.#keys[at], this.#values.get(this.#keys[at])];
    }
  }
}

/** The rows of one table, partition by partition; follows what the collection says it changed. */
class Rows {
  #partitions = new Ordered();

  constructor(collection) {
    collection.binaryIndices = {}; // Loki's own, whose upkeep takes time in proportion to all rows
    for (const row of collection.data) this.#keep(row);
    collection.on("insert", (row) => this.#keep(row));
    collection.on("update", (row) => this.#keep(row));
    collection.on("delete", (row) => this.#drop(row));
    collection.findOne = ({ PartitionKey, RowKey }) =>
      this.#partitions.get(PartitionKey)?.get(RowKey) ?? null;
  }

  #keep(row) {
    if (!this.#partitions.get(row.PartitionKey)) {
      this.#partitions.set(row.PartitionKey, new Ordered());
    }
    this.#partitions.get(row.PartitionKey).set(row.RowKey, row);
  }

  #drop(row) {
    const partition = this.#partitions.get(row.PartitionKey);
    partition?.delete(row.RowKey);
    if (partition?.size === 0) this.#partitions.delete(row.PartitionKey);
  }

  /** Walk the rows that a filter may want, in order, from where the page before it ended. */
  *wanted(filter, nextPartition, nextRow) {
    const bounds = BOUNDED.exec(filter ?? "")?.map((text) => text?.replaceAll("''", "'"));
    const [, only, above = "", below] = bounds ?? [];
    const began = nextPartition ?? only ?? "";
    for (const [name, partition] of this.#partitions.from(began)) {
      if (only !== undefined && name !== only) return;
      const first = name === nextPartition ? (nextRow ?? "") : "";
      for (const [key, row] of partition.from(first > above ? first : above)) {
        if (below !== undefined && key >= below) return;
        yield row;
      }
    }
  }
}

const known = new WeakMap(); // by collection

function rowsOf(collection) {
  if (!known.has(collection)) known.set(collection, new Rows(collection));
  return known.get(collection);
}

const { getEntityCollection } = Store.prototype;

Store.prototype.getEntityCollection = function (...table) {
  const collection = getEntityCollection.apply(this, table);
  rowsOf(collection);
  return collection;
};

Store.prototype.queryTableEntities = async function (
  context, account, table, options, nextPartition, nextRow,
) {
  const rows = rowsOf(this.getEntityCollection(account, table, context));
  const matches = Generator.generateQueryForPersistenceLayer(options, context);
  const most = this.getMaxResultsOption(options);
  const [partition, row] = [nextPartition, nextRow].map((one) => this.decodeContinuationHeader(one));
  const page = [];
  for (const one of rows.wanted(options.filter, partition, row)) {
    if (page.length > most) break; // one more than is given says where the next page begins
    if (matches(one)) page.push(one);
  }
  const next = this.adjustQueryResultforTop(page, most);
  return [page, next.nextPartitionKeyResponse, next.nextRowKeyResponse];
};
