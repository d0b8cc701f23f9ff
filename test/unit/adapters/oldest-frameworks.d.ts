declare module "express4";
declare module "koa2";
