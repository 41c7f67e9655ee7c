import { expect } from 'chai';
import { MongoClient } from 'mongodb';
import { composeForCli } from '../../src/compose.js';
import { streamIndex, typeIndex } from '../../src/event-store/mongodb/documents.js';
import { useServices } from '../helpers/services.js';

describe('event store that the command line reads', () => {
  const services = useServices();
  const client = () => new MongoClient(services.mongodbUrl);

  /** What all the reads of the command line find. */
  const readAll = async () => {
    const store = await composeForCli().connectEventStore(services.mongodbUrl);
    try {
      const positions: number[] = [];
      for await (const { position } of store.readAll()) positions.push(position);
      for await (const { position } of store.readAll({ types: ['user.created'] })) positions.push(position);
      for await (const { position } of store.readStream({ aggregateType: 'user', aggregateId: 'u-1' })) {
        positions.push(position);
      }
      return { positions, head: await store.headPosition(), shapes: await store.typeVersions() };
    } finally {
      await store.close();
    }
  };

  it('makes nothing in an empty database', async () => {
    const mongodb = client();
    try {
      expect(await readAll()).to.deep.equal({ positions: [], head: 0, shapes: [] });
      expect(await mongodb.db(services.database).listCollections().toArray()).to.deep.equal([]);
    } finally {
      await mongodb.close();
    }
  });

  it('leaves collections of another version as they are', async () => {
    const mongodb = client();
    const db = mongodb.db(services.database);
    const described = async () => [await db.listCollections().toArray(), await db.collection('events').indexes()];
    try {
      await db.createCollection('events', { validator: { type: { $exists: true } } });
      await db.collection('events').createIndexes([
        { name: typeIndex, key: { type: 1, _id: 1 } },
        { name: streamIndex, key: { aggregateId: 1, version: 1 } },
      ]);
      const before = await described();
      await readAll();
      expect(await described()).to.deep.equal(before);
    } finally {
      await mongodb.close();
    }
  });
});
